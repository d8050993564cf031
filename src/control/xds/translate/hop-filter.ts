import { type Document, typed } from "./document.ts";

/**
 * The HTTP filter that takes out of a request what only hops of the mesh say to each other, and what proxies tell of where a request comes from (call/hop-fields.ts), as weft's own
 * places do with callers who have not proved who they are: whoever a call goes on to believes these fields, for Envoy has an identity. Written with "_" a field is the same to many
 * servers. Behind it a request says what Envoy has seen itself. It stands last: rules judge a request as it was sent.
 */
export function hopFilter(): { readonly name: string; readonly config: Document } {
  const forged = { remove_on_match: { key_matcher: { safe_regex: { regex: HOP_FIELDS } } } };
  const said = (key: string, value: string): Document => ({
    append: { header: { key, value }, append_action: "OVERWRITE_IF_EXISTS_OR_ADD" },
  });
  return {
    name: "weft.hops",
    config: typed("envoy.extensions.filters.http.header_mutation.v3.HeaderMutation", {
      mutations: {
        request_mutations: [
          forged,
          said("x-forwarded-for", "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%"),
          said("x-forwarded-proto", "%REQ(:SCHEME)%"),
        ],
        request_trailers_mutations: [forged],
      },
    }),
  };
}

const HOP_FIELDS = "x[-_](weft|forwarded)[-_].*|forwarded|x[-_](real[-_]ip|(original|rewrite)[-_]url)";
