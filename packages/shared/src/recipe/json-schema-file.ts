import { writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { recipeJsonSchema } from './json-schema.js'

/** Where the JSON Schema for editors lies. It is committed; the first line of a recipe names it. */
export const RECIPE_SCHEMA_FILE = fileURLToPath(new URL('../../recipe.schema.json', import.meta.url))

/** Writes it anew, after the schema changed: `node -e "import('@lockstep/shared/recipe/json-schema-file.js').then((m) => m.writeRecipeSchema())"`. */
export async function writeRecipeSchema(file = RECIPE_SCHEMA_FILE): Promise<void> {
  await writeFile(file, `${JSON.stringify(recipeJsonSchema(), null, 2)}\n`)
}
