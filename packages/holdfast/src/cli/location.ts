/** Where a store is, as it may be shown: without user, password and query, any of which may hold a secret. */
export function shownLocation(location: string): string {
  const [, scheme] = /^([a-z+]+):\/\//i.exec(location) ?? [];
  if (scheme === undefined) return location;
  // From the last @ on: a password may hold one, or a question mark, that nobody has encoded.
  const host = location.slice(Math.max(location.lastIndexOf("@") + 1, scheme.length + 3));
  return `${scheme.toLowerCase()}://${host.replace(/[?#].*$/s, "")}`;
}

/** Takes out of a driver's message what it may have quoted of the location. */
export function withoutSecrets(message: string, location: string): string {
  let clean = message.replaceAll(location, shownLocation(location));
  const [, credentials] = /^[a-z+]+:\/\/(.*)@/is.exec(location) ?? [];
  if (credentials !== undefined) {
    const password = credentials.slice(credentials.indexOf(":") + 1);
    for (const secret of [credentials, password, decoded(password)])
      if (secret.length >= 3) clean = clean.replaceAll(secret, "***");
  }
  // Any URL with credentials, whosever it is.
  return clean.replace(/([a-z+]+:\/\/)[^\s/@]*:[^\s/]*@/gi, "$1***@");
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
