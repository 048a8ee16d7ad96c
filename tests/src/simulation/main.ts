import { scenarioOf } from './scenario.js'
import { simulate } from './simulation.js'
const n = Number(process.argv[3] ?? 100)
const t = performance.now()
const fails = new Map<string, number[]>()
let ev = 0, vm = 0
const first = process.argv[2] === '--seed' ? n : 0
for (let seed = first; seed < (first || n) + (process.argv[2] === '--seed' ? 1 : 0); seed++) {
  const o = simulate(scenarioOf(seed), { noted: process.argv[2] === '--seed' })
  ev += o.events; vm += o.virtualMs
  for (const l of o.notes) console.log(l)
  if (o.failure) { const k = o.failure.invariant; const l = fails.get(k) ?? []; l.push(seed); fails.set(k, l); if (l.length <= 2) console.log(seed, o.failure.message.slice(0, 1500)) }
}
for (const [k, l] of fails) console.log(k, l.length, l.slice(0, 12).join(' '))
console.log(ev, vm / 1000, performance.now() - t)
