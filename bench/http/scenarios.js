/**
 * What a browser asks for, again and again. `session` names the data that its session holds ("none": it has no cookie), and
 * `answer` what the response's body has to begin with.
 */
export const SCENARIOS = [
  {
    name: "anonymous",
    title: "anonymous reader",
    method: "GET",
    path: "/read",
    session: "none",
    answer: '{"name":"nobody"',
  },
  {
    name: "read",
    title: "read of an existing session",
    method: "GET",
    path: "/read",
    session: "small",
    answer: '{"name":"Ada Lovelace"',
  },
  {
    name: "write",
    title: "write of one key",
    method: "POST",
    path: "/write",
    session: "small",
    answer: '{"name":"Ada Lovelace","count":',
  },
  {
    name: "login",
    title: "login (rotation)",
    method: "POST",
    path: "/login",
    session: "small",
    answer: '{"name":"Ada Lovelace"',
  },
  {
    name: "read-20k",
    title: "20 KB session, read",
    method: "GET",
    path: "/read",
    session: "large",
    answer: '{"name":"Ada Lovelace"',
  },
  {
    name: "write-20k",
    title: "20 KB session, write of one key",
    method: "POST",
    path: "/write",
    session: "large",
    answer: '{"name":"Ada Lovelace","count":',
  },
];
