import { z } from 'zod'
import { recipeSchema } from './schema.js'

/** The part of a JSON Schema that is read here: enough to know which keys and values stand at a path. */
export interface JsonSchema {
  description?: string
  properties?: Record<string, JsonSchema>
  anyOf?: JsonSchema[]
  oneOf?: JsonSchema[]
  items?: JsonSchema
  prefixItems?: JsonSchema[]
  enum?: unknown[]
  const?: unknown
  type?: string
}

/** The JSON Schema that editors complete recipes from; the same as packages/shared/recipe.schema.json. */
export function recipeJsonSchema(): Record<string, unknown> {
  const schema = z.toJSONSchema(recipeSchema, {
    io: 'input',
    override: ({ jsonSchema, path }) => {
      // `base` does for `name`
      if (path.join('.') === 'properties.model') jsonSchema.required = jsonSchema.required?.filter((key) => key !== 'name') ?? []
    },
  })
  return { title: 'Lockstep recipe', ...schema }
}

let cached: JsonSchema | undefined

/**
 * The alternatives that may stand at a path of a recipe. Where the alternatives are told apart by their `type`
 * and the value there names one, only that one is returned.
 */
export function alternativesAt(path: readonly PropertyKey[], value: unknown): JsonSchema[] {
  cached ??= recipeJsonSchema() as JsonSchema
  let alternatives = choose([cached], value)
  let here = value
  for (const segment of path) {
    here = childOf(here, segment)
    alternatives = choose(
      alternatives.flatMap((schema) => {
        const child = typeof segment === 'number' ? (schema.prefixItems?.[segment] ?? schema.items) : schema.properties?.[String(segment)]
        return child === undefined ? [] : [child]
      }),
      here,
    )
  }
  return alternatives
}

/** The keys a mapping at this path may have. */
export function keysAt(path: readonly PropertyKey[], value: unknown): string[] {
  return [...new Set(alternativesAt(path, value).flatMap((schema) => Object.keys(schema.properties ?? {})))]
}

/** Every dotted path of the schema that ends in this key: where a misplaced key belongs. */
export function pathsOfKey(key: string): string[] {
  cached ??= recipeJsonSchema() as JsonSchema
  const found: string[] = []
  const walk = (schema: JsonSchema, prefix: string): void => {
    for (const alternative of choose([schema], undefined)) {
      for (const [name, child] of Object.entries(alternative.properties ?? {})) {
        if (name === key) found.push(prefix + name)
        walk(child, `${prefix}${name}.`)
      }
    }
  }
  walk(cached, '')
  return [...new Set(found)]
}

/** Opens unions; those told apart by `type` are narrowed to the one the value names. */
function choose(schemas: readonly JsonSchema[], value: unknown): JsonSchema[] {
  const open = schemas.flatMap((schema) => schema.anyOf ?? schema.oneOf ?? [schema])
  const type = childOf(value, 'type')
  const named = open.filter((schema) => type !== undefined && schema.properties?.type?.const === type)
  return named.length > 0 ? named : open
}

function childOf(value: unknown, key: PropertyKey): unknown {
  return typeof value === 'object' && value !== null && Object.hasOwn(value, key) ? (value as Record<PropertyKey, unknown>)[key] : undefined
}
