import session = require("holdfast/compat/express-session");

const middleware = session({
  secret: "x",
  resave: false,
  saveUninitialized: false,
  store: new session.MemoryStore(),
});
const cookie: session.Cookie = new session.Cookie();
middleware.call(cookie, {} as never, {} as never, () => {});
