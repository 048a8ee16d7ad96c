/** House rules that no published plugin holds: how files are named, and that no file merely passes on what others export. */

const KEBAB_CASE = /^[a-z][a-z0-9]*(-[a-z0-9]+)*(\.(test|config|d))?$/
const VAGUE = new Set(['index', 'utils', 'util', 'helpers', 'helper', 'common', 'misc'])

/** @type {import('eslint').Rule.RuleModule} */
const fileName = {
  meta: {
    type: 'suggestion',
    schema: [],
    messages: { kebab: '"{{name}}" is not kebab-case', vague: '"{{name}}" says nothing about what is inside' },
  },
  create: (context) => ({
    Program(node) {
      const name = context.filename
        .split(/[\\/]/)
        .at(-1)
        .replace(/\.[a-z]+$/, '')
      if (!KEBAB_CASE.test(name)) context.report({ node, messageId: 'kebab', data: { name } })
      if (VAGUE.has(name.replace(/\.test$/, ''))) context.report({ node, messageId: 'vague', data: { name } })
    },
  }),
}

/** @type {import('eslint').Rule.RuleModule} */
const noBarrel = {
  meta: {
    type: 'suggestion',
    schema: [],
    messages: { barrel: 'A file that only passes on the exports of others: import from where the thing lives' },
  },
  create: (context) => ({
    Program(node) {
      const passesOn = (statement) =>
        statement.type === 'ExportAllDeclaration' ||
        (statement.type === 'ExportNamedDeclaration' && statement.source !== null && statement.source !== undefined)
      const rest = node.body.filter((statement) => statement.type !== 'ImportDeclaration')
      if (rest.length > 0 && rest.every(passesOn)) context.report({ node, messageId: 'barrel' })
    },
  }),
}

export default { meta: { name: 'lockstep' }, rules: { 'file-name': fileName, 'no-barrel': noBarrel } }
