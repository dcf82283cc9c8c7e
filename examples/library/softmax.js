// Softmax, temperature and cross-entropy for a short list of logits. Run with: node softmax.js
"use strict";

/** Probabilities proportional to exp(logit / temperature). Temperature must be above zero. */
function softmax(logits, temperature = 1) {
  if (!(temperature > 0)) throw new RangeError("temperature must be above zero");
  // The largest logit is subtracted first: exp(1000) is Infinity, exp(0) is 1, and the quotient is the same.
  const top = Math.max(...logits);
  const weights = logits.map((logit) => Math.exp((logit - top) / temperature));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  return weights.map((weight) => weight / total);
}

/** -ln P(target) in nats, computed from logits so that a tiny probability does not round to zero. */
function crossEntropy(logits, target) {
  const top = Math.max(...logits);
  const total = logits.reduce((sum, logit) => sum + Math.exp(logit - top), 0);
  return Math.log(total) + top - logits[target];
}

/** Uncertainty of a distribution in nats; a term with probability zero counts as zero. */
function entropy(probabilities) {
  return -probabilities.reduce((sum, p) => (p > 0 ? sum + p * Math.log(p) : sum), 0);
}

const words = ["tea", "coffee", "water", "gravel"];
const logits = [3.0, 2.0, 1.0, -2.0];

for (const temperature of [0.5, 1, 2]) {
  const probabilities = softmax(logits, temperature);
  const row = words.map((word, i) => `${word} ${probabilities[i].toFixed(3)}`).join("  ");
  console.log(`T=${temperature}: ${row}  (entropy ${entropy(probabilities).toFixed(3)} nats)`);
}

words.forEach((word, i) => {
  console.log(`if the next word is "${word}", the loss is ${crossEntropy(logits, i).toFixed(3)}`);
});
