/** The same in CommonJS. */
import session = require("holdfast/compat/koa-session");
import Koa = require("koa");

const app = new Koa();
app.use(session({ key: "koa.sess" }, app));
app.use(session.default(app));
app.use(session.createSession({}, app));
