import { describe } from "vitest";
import { attack, userOf } from "./attack.js";

describe("session puzzling", () => {
  attack(
    "a step that only asks for a name leaves it where the login does",
    async ({ browser }) => {
      const attacker = browser();
      await attacker.post("/forgot-password/victim");
      return (await userOf(attacker)) === "victim";
    },
    {
      routes({ app, data }) {
        app.post("/forgot-password/:user", (req, res) => {
          data(req).user = req.params.user;
          data(req).userId = req.params.user;
          res.send("a mail is on its way");
        });
      },
    },
  );

  attack(
    "a message for the next page, under a key that a form names, takes the place of the user",
    async ({ browser }) => {
      const attacker = browser();
      await attacker.post("/message/user/victim");
      return (await userOf(attacker)) === "victim";
    },
    {
      routes({ app, data, session }) {
        app.post("/message/:key/:text", (req, res) => {
          const { key, text } = req.params;
          // The one has a place of its own for messages.
          if (session(req) === undefined) data(req)[key] = text;
          else session(req)!.flash(key, text);
          res.send("noted");
        });
      },
    },
  );
});
