/** The flags of a process in which allocations can be measured. */
export const METER_FLAGS: readonly string[];
