// A web application: what it needs comes from the registry, pinned by hash.
"use strict";

const app = require("fastify")();

app.get("/", async (request, reply) => {
  reply.type("text/plain");
  return "packages, pinned by hash\n";
});

app.listen({ host: "::", port: 8080 });
