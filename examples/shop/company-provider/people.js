// @ts-check

/** Who works for the company. Nobody has a password: this is a provider for development. */
export const people = [
  { id: "margaret", name: "Margaret Hamilton", email: "margaret@harbour.example" },
  { id: "katherine", name: "Katherine Johnson", email: "katherine@harbour.example" },
  { id: "radia", name: "Radia Perlman", email: "radia@harbour.example" },
];

/** @param {unknown} id */
export const personById = (id) => people.find((person) => person.id === id);

/** @typedef {(typeof people)[number]} Person */
