/* Draw a token from logits with temperature, top-k and min-p.
 * Build and run: cc -std=c11 -O2 -o sampler sampler.c -lm && ./sampler
 */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct {
    int id;
    double p; /* a logit first, its weight afterward */
} Candidate;

/* xorshift64*: small, seedable and the same on every machine, which rand() is not. */
static double uniform01(uint64_t *state) {
    uint64_t x = *state;
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    *state = x;
    return (double)((x * UINT64_C(2685821657736338717)) >> 11) / 9007199254740992.0; /* 2^53 */
}

/* Larger values first; equal values in the order of their ids, so that the result is well defined. */
static int descending(const void *left, const void *right) {
    const Candidate *a = left, *b = right;
    if (a->p != b->p) return a->p < b->p ? 1 : -1;
    return (a->id > b->id) - (a->id < b->id);
}

/* Returns the id drawn, or -1 if memory ran out.
 * top_k <= 0 keeps every token; min_p keeps tokens of at least min_p times the best one's probability.
 * A temperature of 0 means greedy: the best token, no draw.
 */
static int sample(const double *logits, int n, double temperature, int top_k, double min_p, uint64_t *state) {
    Candidate *c = malloc((size_t)n * sizeof *c);
    if (c == NULL) return -1;
    for (int i = 0; i < n; i++) c[i] = (Candidate){i, logits[i]};
    qsort(c, (size_t)n, sizeof *c, descending);

    int kept = temperature <= 0 ? 1 : n;
    if (top_k > 0 && top_k < kept) kept = top_k;

    /* c[0] holds the largest logit, so every exponent is <= 0 and the best candidate weighs exactly 1. */
    double top = c[0].p, total = 0;
    int count = 0;
    for (int i = 0; i < kept; i++) {
        double weight = i == 0 ? 1.0 : exp((c[i].p - top) / temperature);
        if (weight < min_p) break; /* sorted: all later ones are smaller still */
        c[i].p = weight;
        total += weight;
        count++;
    }
    if (count == 0) count = 1; /* min_p above 1 must not empty the list */

    double r = uniform01(state) * total;
    int chosen = count - 1; /* rounding may leave r a hair above the last sum */
    for (int i = 0; i < count; i++) {
        r -= c[i].p;
        if (r < 0) {
            chosen = i;
            break;
        }
    }
    int id = c[chosen].id;
    free(c);
    return id;
}

int main(void) {
    const char *words[] = {"tea", "coffee", "water", "gravel"};
    const double logits[] = {3.0, 2.0, 1.0, -2.0};
    const int draws = 100000;
    int counts[4] = {0};
    uint64_t state = 42; /* any value but zero */

    for (int i = 0; i < draws; i++) {
        int id = sample(logits, 4, 1.0, 3, 0.05, &state);
        if (id < 0) return EXIT_FAILURE;
        counts[id]++;
    }
    for (int i = 0; i < 4; i++) printf("%-7s %.3f\n", words[i], (double)counts[i] / draws);
    printf("greedy: %s\n", words[sample(logits, 4, 0.0, 0, 0.0, &state)]);
    return EXIT_SUCCESS;
}
