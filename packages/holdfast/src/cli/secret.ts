import { newToken } from "../token/token.js";
import { type Command, EXIT, wholeNumber } from "./command.js";

export const secret: Command = {
  name: "secret",
  about: "make a secret for signing and encrypting",
  takes: "",
  details: [
    "Prints 32 bytes from the operating system's random generator, as base64url: a secret for `secrets` of createSessions().",
  ],
  examples: ['echo "SESSION_SECRET=$(npx holdfast secret)" >> .env', "npx holdfast secret --count 3"],
  options: { count: { type: "string", value: "N", about: "how many (1)" } },
  positionals: 0,
  async run(invocation) {
    const { terminal } = invocation;
    const secrets = Array.from({ length: wholeNumber(invocation, "count", 1000) ?? 1 }, newToken);
    if (terminal.json) await terminal.object({ secrets });
    else for (const made of secrets) await terminal.line(made);
    return EXIT.ok;
  },
};
