import js from '@eslint/js'
import { createNodeResolver, importX } from 'eslint-plugin-import-x'
import tseslint from 'typescript-eslint'
import house from './scripts/lint-rules.mjs'

/** What each package may import of the others; everything not listed is refused. Same as the `references` of the tsconfigs. */
const MAY_IMPORT = {
  shared: [],
  data: ['shared'],
  formats: ['shared', 'data'],
  averager: ['shared'],
  coordinator: ['shared', 'data', 'averager'],
  worker: ['shared', 'data'],
  cli: ['shared', 'data', 'formats', 'averager', 'coordinator', 'worker'],
}
const PACKAGES = Object.keys(MAY_IMPORT)

/** One configuration a package: the other packages it must not import, by name or by path. */
const importDirections = PACKAGES.map((name) => {
  const refused = PACKAGES.filter((other) => other !== name && !MAY_IMPORT[name].includes(other))
  const allowed = MAY_IMPORT[name].length === 0 ? 'no other package' : `only ${MAY_IMPORT[name].join(', ')}`
  const byName = refused.length === 0 ? [] : [{ regex: `^@lockstep/(${refused.join('|')})(/|$)`, message: `${name} imports ${allowed}` }]
  const byPath = [
    { regex: `^(\\.\\./)+(packages/|(${PACKAGES.join('|')})/(src|dist)/)`, message: 'other packages are imported as @lockstep/NAME/…' },
  ]
  return { files: [`packages/${name}/src/**/*.ts`], rules: { 'no-restricted-imports': ['error', { patterns: [...byName, ...byPath] }] } }
})

const nodeGlobals = Object.fromEntries(
  [
    'process',
    'console',
    'Buffer',
    'URL',
    'setTimeout',
    'clearTimeout',
    'setInterval',
    'clearInterval',
    'performance',
    'AbortController',
    'fetch',
  ].map((name) => [name, 'readonly']),
)

export default tseslint.config(
  { ignores: ['**/node_modules/', '**/dist/', '.runtime/', 'runs/', 'datasets/', '.cache/', 'packages/shared/assembly/', '**/generated/'] },
  { linterOptions: { reportUnusedDisableDirectives: 'error' } },
  js.configs.recommended,
  {
    plugins: { 'import-x': importX, lockstep: house },
    settings: {
      'import-x/parsers': { '@typescript-eslint/parser': ['.ts'] },
      'import-x/extensions': ['.ts', '.js', '.mjs'],
      'import-x/resolver-next': [createNodeResolver({ extensionAlias: { '.js': ['.ts', '.js'] } })],
    },
    rules: {
      'max-lines': ['error', { max: 400, skipBlankLines: true, skipComments: true }],
      'max-lines-per-function': ['error', { max: 70, skipBlankLines: true, skipComments: true }],
      'import-x/no-cycle': ['error', { ignoreExternal: true }],
      'import-x/no-self-import': 'error',
      'lockstep/file-name': 'error',
      'lockstep/no-barrel': 'error',
      eqeqeq: 'error',
      'prefer-const': 'error',
      'no-restricted-syntax': [
        'error',
        { selector: 'ExportAllDeclaration', message: 'No barrel files: import from where the thing lives.' },
      ],
    },
  },
  {
    files: ['**/*.ts'],
    extends: [tseslint.configs.strictTypeChecked, tseslint.configs.stylisticTypeChecked],
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_', caughtErrors: 'none' }],
      '@typescript-eslint/consistent-type-imports': ['error', { fixStyle: 'inline-type-imports' }],
      '@typescript-eslint/no-confusing-void-expression': ['error', { ignoreArrowShorthand: true, ignoreVoidReturningFunctions: true }],
      // Both shapes are in use on purpose: `type` for unions and tuples, `interface` for records.
      '@typescript-eslint/consistent-type-definitions': 'off',
      // Numeric loops over several typed arrays at once are clearer, and faster, with an index.
      '@typescript-eslint/prefer-for-of': 'off',
      // An async function that does not await yet keeps an interface uniform: errors are rejections, not throws.
      '@typescript-eslint/require-await': 'off',
      // Exhaustiveness is held by the return types of functions that switch.
      '@typescript-eslint/no-unnecessary-condition': ['error', { allowConstantLoopConditions: true }],
    },
  },
  ...importDirections,
  { files: ['**/*.test.ts', 'tests/src/**/*.ts'], rules: { 'max-lines-per-function': 'off' } },
  { files: ['**/*.js', '**/*.mjs'], languageOptions: { globals: nodeGlobals } },
)
