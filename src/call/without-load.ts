import { LOAD_REPORT_FIELD } from "../policy/balance/load-report.ts";
import { Head } from "../wire/head.ts";

/** A response head, or trailers, without what its server says of its load: nothing for callers. Itself when it says nothing. */
export function withoutLoad(head: Head): Head {
  const { fields } = head;
  for (let i = 0; i < fields.length; i += 2) {
    if (fields[i].length >= LOAD_REPORT_FIELD.length && fields[i].startsWith(LOAD_REPORT_FIELD)) return stripped(head);
  }
  return head;
}

function stripped(head: Head): Head {
  const fields: string[] = [];
  for (let i = 0; i < head.fields.length; i += 2) {
    if (!head.fields[i].startsWith(LOAD_REPORT_FIELD)) fields.push(head.fields[i], head.fields[i + 1]);
  }
  const { method, scheme, authority, path, protocol, status } = head;
  return new Head(method, scheme, authority, path, protocol, status, fields);
}
