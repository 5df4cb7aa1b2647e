// What a node is, can run and is doing, as plain data.

import { word } from './contract.js';

export function nodeInfo(message) {
  const limits = {};
  for (const { name, ...limit } of message.limits) {
    limits[name] = { name, ...limit };
  }
  return { ...message, limits };
}

export function nodeStats(message) {
  const verdicts = {};
  for (const { verdict, count } of message.verdicts) {
    verdicts[word(verdict, 'VERDICT_')] = count;
  }
  const runs = message.runs.map((run) => ({
    ...run,
    state: word(run.state, 'STATE_').toLowerCase(),
    labels: Object.fromEntries(run.labels.map(({ key, value }) => [key, value])),
  }));
  return { ...message, verdicts, runs };
}
