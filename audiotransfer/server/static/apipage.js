// Lists the operations of the API from its OpenAPI description.
import { call } from "./api.js";
import { element } from "./wave.js";

const main = document.getElementById("operations");
document.getElementById("schema").href += location.search;

function type(schema, all) {
  if (!schema) return "";
  if (schema.$ref) return schema.$ref.split("/").pop();
  if (schema.anyOf) return schema.anyOf.map((one) => type(one, all)).join(" or ");
  if (schema.enum) return schema.enum.join(", ");
  if (schema.const !== undefined) return String(schema.const);
  if (schema.type === "array") return `list of ${type(schema.items, all) || "values"}`;
  return schema.format === "binary" ? "the file" : schema.type || "";
}

function table(rows) {
  return element("table", {}, element("tbody", {}, ...rows.map((row) => element("tr", {}, ...row.map((cell, n) => element(n ? "td" : "th", {}, cell))))));
}

function fields(schema, all) {
  return table(Object.entries(schema.properties || {}).map(([name, one]) => [
    name + (schema.required?.includes(name) ? " (needed)" : ""), type(one, all), one.description || (one.default !== undefined ? `default ${JSON.stringify(one.default)}` : ""),
  ]));
}

try {
  const api = await call("GET", "../api/openapi.json");
  const all = api.components?.schemas || {};
  main.replaceChildren(...Object.entries(api.paths).flatMap(([path, methods]) => Object.entries(methods).map(([method, operation]) => {
    const body = Object.values(operation.requestBody?.content || {})[0]?.schema;
    const name = body?.$ref?.split("/").pop();
    return element("section", {},
      element("h2", {}, `${method.toUpperCase()} ${path}`),
      element("p", {}, operation.description || operation.summary || ""),
      operation.parameters?.length ? table(operation.parameters.map((one) => [one.name, one.in, type(one.schema, all)])) : null,
      body ? element("p", {}, `Body: ${type(body, all)}`) : null,
      name && all[name] ? fields(all[name], all) : null);
  })), ...["ChordEdit", "BarLineEdit"].filter((name) => all[name]).map((name) => element("section", {}, element("h2", {}, name), element("p", {}, all[name].description || ""), fields(all[name], all))));
} catch (error) {
  main.replaceChildren(element("p", { role: "alert" }, error.message));
}
