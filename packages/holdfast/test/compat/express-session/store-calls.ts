export function describeStoreCalls(..._:any[]){}
