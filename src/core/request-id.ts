/** Whether an id of a request that somebody else made is passed on and logged: visible ASCII without quotes, not too long. */
export function isRequestId(text: string): boolean {
  return REQUEST_ID.test(text);
}

const REQUEST_ID = /^[\w.:/+=@-]{1,128}$/;
