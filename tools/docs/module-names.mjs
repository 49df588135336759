import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { Comment, Converter, ReflectionKind } from 'typedoc';

/**
 * A plugin for TypeDoc: a module is called as its package is, and what its `@module` comment says is its description. TypeDoc itself takes
 * the text behind `@module` for the name.
 *
 * @param {import('typedoc').Application} app
 */
export function load(app) {
  app.converter.on(
    Converter.EVENT_RESOLVE_BEGIN,
    (context) => {
      for (const module of context.project.getChildrenByKind(ReflectionKind.Module)) {
        const [source] = module.sources ?? [];
        if (source === undefined) continue;
        const { name, description } = JSON.parse(readFileSync(join(dirname(source.fullFileName), '..', 'package.json'), 'utf8'));
        const said = module.name === name || module.name.includes('/') ? description : module.name;
        module.name = name;
        module.comment = new Comment([textPart(said), ...(module.comment?.summary.length ? [textPart('\n\n'), ...module.comment.summary] : [])]);
      }
    },
    10,
  );
}

/**
 * @param {string} text
 * @returns {import('typedoc').CommentDisplayPart}
 */
function textPart(text) {
  return { kind: 'text', text };
}
