/** Numbers of RFC 1035 section 3.2 and of those that extend it, as far as they are read or written here. */
export const TYPE = {
  A: 1,
  NS: 2,
  CNAME: 5,
  SOA: 6,
  HINFO: 13,
  AAAA: 28,
  SRV: 33,
  OPT: 41,
  IXFR: 251,
  AXFR: 252,
  ANY: 255,
} as const;

export const CLASS = { IN: 1, ANY: 255 } as const;

/** BADVERS (RFC 6891) needs the upper bits that an OPT record carries. */
export const RCODE = { NOERROR: 0, FORMERR: 1, SERVFAIL: 2, NXDOMAIN: 3, NOTIMP: 4, REFUSED: 5, BADVERS: 16 } as const;

export const HEADER_BYTES = 12;

/** Without EDNS a message over UDP has at most so many bytes (RFC 1035 section 4.2.1). */
export const PLAIN_UDP_BYTES = 512;

/** What is offered and sent over UDP at most: fits into one packet everywhere, so that nothing is fragmented (DNS flag day 2020; RFC 9715). */
export const MAX_UDP_BYTES = 1_232;

export const MAX_MESSAGE_BYTES = 65_535;
