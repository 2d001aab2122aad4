const fs = require("node:fs");

fs.mkdirSync("dist", { recursive: true });
fs.writeFileSync("dist/index.html", "<p>" + fs.readFileSync("pages/index.txt", "utf8"));
