/** What one policy's faults do in this process: how many calls suffer one now, and how many did, by kind. */
export class ActiveFaults {
  count = 0;
  readonly totals = { delay: 0, abort: 0, reset: 0, throttle: 0 };
}
