/** HTTP-date (RFC 9110 section 5.6.7), its preferred form and the two obsolete ones, to epoch ms; undefined when it is none. */
export function parseHttpDate(text: string, now: number): number | undefined {
  let match = IMF.exec(text);
  if (match !== null) {
    const [, day, month, year, hour, minute, second] = match;
    return epochMs(Number(year), month, Number(day), hour, minute, second);
  }
  match = RFC850.exec(text);
  if (match !== null) {
    const [, day, month, shortYear, hour, minute, second] = match;
    // More than 50 years ahead means the last century's.
    const century = Math.floor(new Date(now).getUTCFullYear() / 100) * 100;
    const year = century + Number(shortYear);
    const ms = epochMs(year, month, Number(day), hour, minute, second);
    return ms !== undefined && ms > now + FIFTY_YEARS_MS
      ? epochMs(year - 100, month, Number(day), hour, minute, second)
      : ms;
  }
  match = ASCTIME.exec(text);
  if (match === null) return undefined;
  const [, month, day, hour, minute, second, year] = match;
  return epochMs(Number(year), month, Number(day), hour, minute, second);
}

export function formatHttpDate(epoch: number): string {
  return new Date(epoch).toUTCString();
}

function epochMs(
  year: number,
  month: string,
  day: number,
  hour: string,
  minute: string,
  second: string,
): number | undefined {
  const at = MONTHS.indexOf(month);
  if (at < 0 || day < 1 || day > 31 || Number(hour) > 23 || Number(minute) > 59 || Number(second) > 60)
    return undefined;
  return Date.UTC(year, at, day, Number(hour), Number(minute), Number(second));
}

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const TIME = "(\\d{2}):(\\d{2}):(\\d{2})";
const IMF = new RegExp(`^(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), (\\d{2}) (\\w{3}) (\\d{4}) ${TIME} GMT$`);
const RFC850 = new RegExp(`^(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day, (\\d{2})-(\\w{3})-(\\d{2}) ${TIME} GMT$`);
const ASCTIME = new RegExp(`^(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) (\\w{3}) ([ \\d]\\d) ${TIME} (\\d{4})$`);
const FIFTY_YEARS_MS = 50 * 365.25 * 86_400_000;
