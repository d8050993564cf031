/** How many calls suffer a fault of one policy now. */
export class ActiveFaults {
  count = 0;
}
