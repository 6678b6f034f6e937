// A query's text as coloured stretches, while it is typed. The server reads it for good (query.py).

const FIELD = /^(?:(?:data|metadata)(?:\.(?:"(?:\\.|[^"\\])*"|[^\s.,:=!<>~"[\]]+)|\[\d+\])*|[A-Za-z][\w-]*)(?=>=|<=|!=|[:=<>~])/;
const OPERATOR = /^(?:>=|<=|!=|[:=<>~])/;
const VALUE = /^(?:"(?:\\.|[^"\\])*"?|[^\s,"])+/;

/** Return [{kind, text}] whose texts joined are the input; kinds are those of the server's spans. */
export function tokens(text) {
  const found = [];
  let rest = text;
  const take = (kind, length) => {
    if (length) found.push({ kind, text: rest.slice(0, length) });
    rest = rest.slice(length);
  };
  while (rest) {
    take("blank", /^\s*/.exec(rest)[0].length);
    if (!rest) break;
    if (/^-\S/.test(rest)) take("negate", 1);
    const field = FIELD.exec(rest);
    if (field) {
      take("field", field[0].length);
      take("op", OPERATOR.exec(rest)[0].length);
    }
    do {
      if (rest[0] === ",") take("comma", 1);
      const value = VALUE.exec(rest)?.[0] ?? "";
      take(!field ? "text" : value[0] === '"' ? "quoted" : /^-?\d[\d.eE+-]*$/.test(value) ? "number" : "value", value.length);
    } while (rest[0] === ",");
    if (rest && !/^\s/.test(rest)) take("text", 1);
  }
  return found;
}

const CLASSES = { field: "q-k", value: "q-v", quoted: "q-v", comma: "q-v", number: "q-n", negate: "q-o", op: "q-o" };

/** Return the class of a stretch: the colon belongs to its field, other operators stand out. */
export const style = ({ kind, text }) => (kind === "op" && text === ":" ? "q-k" : CLASSES[kind] ?? "");
