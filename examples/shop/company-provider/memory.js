// @ts-check

/** @typedef {Record<string, any>} Payload */

/**
 * What the provider remembers while it runs, in the form that oidc-provider asks for. Its own says at each start that it is
 * not for production, and can't tell who is signed in.
 */
export class Memory {
  /** By the name of its kind and its id. @type {Map<string, { payload: Payload, expires: number }>} */
  #entries = new Map();

  /** Those who are signed in, the newest first. @returns {Payload[]} */
  sessions() {
    return this.#living("Session:")
      .filter(({ accountId }) => accountId !== undefined)
      .reverse()
      .sort((a, b) => b.loginTs - a.loginTs);
  }

  /** @param {string} kind */
  adapter(kind) {
    const entries = this.#entries;
    /** @param {string} id */
    const keyOf = (id) => `${kind}:${id}`;
    /** @param {string} id */
    const find = async (id) => {
      const entry = entries.get(keyOf(id));
      return entry !== undefined && entry.expires > Date.now() ? entry.payload : undefined;
    };
    /** @param {(payload: Payload) => boolean} matches */
    const findWhere = async (matches) => this.#living(`${kind}:`).find(matches);
    return {
      find,
      /** @param {string} uid */
      findByUid: (uid) => findWhere((payload) => payload.uid === uid),
      /** @param {string} userCode */
      findByUserCode: (userCode) => findWhere((payload) => payload.userCode === userCode),
      /** @param {string} id @param {Payload} payload @param {number} [seconds] */
      async upsert(id, payload, seconds) {
        const expires = seconds === undefined ? Number.POSITIVE_INFINITY : Date.now() + seconds * 1000;
        entries.set(keyOf(id), { payload, expires });
      },
      /** @param {string} id */
      async consume(id) {
        const payload = await find(id);
        if (payload !== undefined) payload.consumed = Math.floor(Date.now() / 1000);
      },
      /** @param {string} id */
      async destroy(id) {
        entries.delete(keyOf(id));
      },
      /** @param {string} grantId */
      async revokeByGrantId(grantId) {
        for (const [key, { payload }] of entries) if (payload.grantId === grantId) entries.delete(key);
      },
    };
  }

  /** @param {string} prefix */
  #living(prefix) {
    const now = Date.now();
    return [...this.#entries]
      .filter(([key, { expires }]) => key.startsWith(prefix) && expires > now)
      .map(([, { payload }]) => payload);
  }
}
