import "reflect-metadata";
import type { INestApplication } from "@nestjs/common";
import { NestFactory } from "@nestjs/core";
import { ExpressAdapter, type NestExpressApplication } from "@nestjs/platform-express";
import { FastifyAdapter, type NestFastifyApplication } from "@nestjs/platform-fastify";
import { createSessions, memoryStore, type Sessions } from "holdfast";
import { expressSessions } from "holdfast/express";
import { fastifySessions } from "holdfast/fastify";
import type { Store } from "holdfast/stores/contract";
import { AppModule } from "./app.module.js";

export interface StartOptions {
  readonly platform: "express" | "fastify";
  readonly port: number;
  /** Default: in memory, so that a restart ends all sessions. */
  readonly store?: Store;
}

export async function start({
  platform,
  port,
  store = memoryStore(),
}: StartOptions): Promise<INestApplication> {
  const { SESSION_SECRET } = process.env;
  const sessions = createSessions({ secrets: SESSION_SECRET ? [SESSION_SECRET] : [], store });
  const app = await (platform === "express" ? onExpress(sessions) : onFastify(sessions));
  app.enableShutdownHooks();
  await app.listen(port, "127.0.0.1");
  return app;
}

async function onExpress(sessions: Sessions): Promise<INestApplication> {
  const app = await NestFactory.create<NestExpressApplication>(
    AppModule.with(sessions),
    new ExpressAdapter(),
  );
  app.use(expressSessions(sessions));
  return app;
}

async function onFastify(sessions: Sessions): Promise<INestApplication> {
  const app = await NestFactory.create<NestFastifyApplication>(
    AppModule.with(sessions),
    new FastifyAdapter(),
  );
  await app.register(fastifySessions, { sessions });
  return app;
}
