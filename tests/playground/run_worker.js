// Runs calls of the built worker's parts in Node: `node run_worker.js WORKER < CALLS`, both in JSON, answers by line.
const { readFileSync } = require("node:fs");
const { runInThisContext } = require("node:vm");

runInThisContext(readFileSync(process.argv[2], "utf8"), { filename: process.argv[2] });
const parts = globalThis.playground;

/** Typed arrays become lists; JSON has no NaN and no infinity. */
const plain = (_, value) => {
  if (ArrayBuffer.isView(value)) return Array.from(value);
  return typeof value === "number" && !Number.isFinite(value) ? String(value) : value;
};

/** Train from given weights on given batches, and look at the first and the last one. */
function train({ sizes, activation, head, theta, X, Y, batches, optimizer, objective, rate, seed }) {
  const network = parts.makeNetwork(sizes, activation, head, Float32Array.from(theta));
  const pass = parts.makePass(network, Math.max(...batches.map((rows) => rows.length)));
  const gradient = new Float32Array(network.theta.length);
  const method = parts.makeOptimizer(optimizer, network);
  const [inputs, targets] = [Float32Array.from(X), Float32Array.from(Y)];
  const steps = batches.map((rows, step) => {
    parts.loadBatch(network, pass, inputs, targets, rows);
    parts.drawMasks(network, pass, objective.dropout, seed, step);
    return parts.trainStep(network, pass, method, objective, rate, gradient);
  });
  const examples = Array.from({ length: pass.m }, (_, i) => {
    const each = new Float32Array(network.theta.length);
    parts.exampleGradient(network, pass, i, each);
    return each;
  });
  return {
    theta: network.theta,
    losses: steps.map(({ loss }) => loss),
    noise: Object.values(steps.at(-1).noise),
    examples,
    norms: parts.squaredNorms(network, pass),
    gram: parts.gram(network, pass),
    P: pass.P.slice(0, pass.m * sizes.at(-1)),
  };
}

/** Open a session, execute commands on it, and return its state. */
function session({ settings, log, step, calls = [] }) {
  const one = new parts.Session(null, { settings, ...(step ? { step, log } : {}) });
  while (one.isBusy) one.advance();
  for (const [name, ...words] of calls) one[name](...words);
  const state = one.state({ run: -1, steps: 0, nValidation: 0 });
  return { state, setup: one.setup(), X: one.dataset.X, rows: one.trainer.train };
}

/** How many steps a training takes in a second of the processor. */
function time({ settings, steps }) {
  const one = new parts.Session(null, { settings });
  for (let n = 0; n < steps / 4; n++) one.advance();
  const began = process.cpuUsage().user;
  for (let n = 0; n < steps; n++) one.advance();
  return (1e6 * steps) / (process.cpuUsage().user - began);
}

/** A text of the pages; JSON has no NaN and no infinity, and so the number is a text. */
const format = ([name, number, ...words]) => parts[name](parts.parseNumber(number), ...words);

const shorten = ([names, length]) => parts.shortenNames(names, (text) => text.length <= length);
const calls = { shorten, train, format, session, time, toy: (words) => parts.makeToy(...words), table: ({ name, text, target }) => parts.encodeTable(parts.parseTable(name, text), target) };
for (const [name, argument] of JSON.parse(readFileSync(0, "utf8"))) {
  let answer;
  try {
    answer = { value: calls[name](argument) };
  } catch (error) {
    answer = { error: error.message };
  }
  console.log(JSON.stringify(answer, plain));
}
