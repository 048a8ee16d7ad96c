import { describe, expect, it } from 'vitest'
import { reachableAddress, reachableUrl } from './reachable-address.js'

describe('reachable addresses', () => {
  it.each([
    { address: '0.0.0.0:5001', joined: '10.1.2.3:5000', reached: '10.1.2.3:5001' },
    { address: '[::]:5001', joined: '[fd00::1]:5000', reached: '[fd00::1]:5001' },
    { address: '127.0.0.1:5001', joined: 'localhost:5000', reached: '127.0.0.1:5001' },
  ])('$address is $reached for who joined $joined', ({ address, joined, reached }) => {
    expect(reachableAddress(address, joined)).toBe(reached)
  })

  it.each([
    { url: 'redis://:pass@0.0.0.0:6379', reached: 'redis://:pass@10.1.2.3:6379' },
    { url: 'redis://0.0.0.0:6379/2', reached: 'redis://10.1.2.3:6379/2' },
    { url: 'rediss://user:p%40ss@queue.example:6380', reached: 'rediss://user:p%40ss@queue.example:6380' },
  ])('$url is $reached', ({ url, reached }) => {
    expect(reachableUrl(url, '10.1.2.3:5000')).toBe(reached)
  })
})
