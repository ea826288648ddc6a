// Reads {name: query} from standard input and writes {name: [what Microsoft's own language service says about it]}.
// Its files are scripts for a browser, hence the globals.

const fs = require("fs");
const path = require("path");
const vm = require("vm");

const service = path.join(__dirname, "..", "..", "node_modules", "@kusto", "language-service-next");
global.window = global;
global.self = global;
for (const file of ["bridge.js", "Kusto.Language.Bridge.js"]) {
  vm.runInThisContext(fs.readFileSync(path.join(service, file), "utf8"), { filename: file });
}

// The columns that the queries use, of the tables that Application Insights writes in a workspace.
const tables =
  "let AppTraces = datatable(TimeGenerated: datetime, AppRoleName: string, Message: string, SeverityLevel: int)[]; " +
  "let AppExceptions = datatable(TimeGenerated: datetime, AppRoleName: string, SeverityLevel: int, " +
  "OuterMessage: string, InnermostMessage: string, Details: dynamic)[]; ";

const answer = {};
for (const [name, query] of Object.entries(JSON.parse(fs.readFileSync(0, "utf8")))) {
  const code = Kusto.Language.KustoCode.ParseAndAnalyze(tables + query, Kusto.Language.GlobalState.Default);
  const found = code.GetDiagnostics();
  answer[name] = [];
  for (let number = 0; number < found.Count; number += 1) {
    answer[name].push(found.getItem(number).Message);
  }
}
process.stdout.write(JSON.stringify(answer));
