import { Field, kindOf } from "./field.ts";

const ENTRIES = `:authority
:method GET
:method POST
:path /
:path /index.html
:scheme http
:scheme https
:status 200
:status 204
:status 206
:status 304
:status 400
:status 404
:status 500
accept-charset
accept-encoding gzip, deflate
accept-language
accept-ranges
accept
access-control-allow-origin
age
allow
authorization
cache-control
content-disposition
content-encoding
content-language
content-length
content-location
content-range
content-type
cookie
date
etag
expect
expires
from
host
if-match
if-modified-since
if-none-match
if-range
if-unmodified-since
last-modified
link
location
max-forwards
proxy-authenticate
proxy-authorization
range
referer
refresh
retry-after
server
set-cookie
strict-transport-security
transfer-encoding
user-agent
vary
via
www-authenticate`;

/** Index 1 to 61; 0 is unused. Source: RFC 7541 appendix A. */
export const STATIC_TABLE: readonly Field[] = ["", ...ENTRIES.split("\n")].map((line) => {
  const [name, ...value] = line.split(" ");
  return new Field(name, value.join(" "), kindOf(name, value.join(" ")));
});

export const STATIC_ENTRIES = STATIC_TABLE.length - 1;

/** Index of the first entry with this name. */
export const STATIC_NAMES: ReadonlyMap<string, number> = new Map(
  STATIC_TABLE.map((field, index): [string, number] => [field.name, index])
    .slice(1)
    .reverse(),
);
