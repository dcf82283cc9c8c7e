// One token through a packed model on a CPU: the same function as PackedModel, in one call instead of hundreds.
//
// Decoding one text multiplies every weight by one vector, so the time is that of reading the weights once; what
// surrounds the products must not cost as much again. Weights are float, bfloat16 or int8 with a scale for each row;
// all arithmetic is in float. Every sum is taken in an order that does not depend on the number of threads.

#include <cmath>
#include <cstdint>
#include <cstring>
#if defined(__AVX512F__)
#include <immintrin.h>
#endif

struct Layer {
    const float *input_norm, *query_norm, *key_norm, *post_norm;  // query_norm and key_norm are null without QK-norm
    const void *qkv, *out, *gate_up, *down;
    const float *qkv_scale, *out_scale, *gate_up_scale, *down_scale;
    void *keys, *values;  // (kv_heads, capacity, head_dim)
};

struct Model {
    int64_t layers, width, heads, kv_heads, head_dim, ffn_width, vocab_size, capacity;
    float epsilon;
    const Layer* layer;
    const void *embedding, *head;
    const float *embedding_scale, *head_scale, *norm, *cos, *sin;  // cos and sin: (context, head_dim / 2)
    float *x, *normed, *qkv, *attended, *hidden, *scores, *logits;
};

static inline float value(float w) { return w; }
static inline float value(int8_t w) { return static_cast<float>(w); }
static inline float value(uint16_t w) {  // bfloat16: the upper half of a float
    uint32_t bits = static_cast<uint32_t>(w) << 16;
    float result;
    std::memcpy(&result, &bits, 4);
    return result;
}

static inline void store(float* to, float w) { *to = w; }
static inline void store(uint16_t* to, float w) {
    uint32_t bits;
    std::memcpy(&bits, &w, 4);
    *to = static_cast<uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);  // to nearest, ties to even
}

// Rows are read one after the other, each in four sums that do not wait for each other: memory is then one long stream,
// which the processor fetches ahead.
#if defined(__AVX512F__)
static inline __m512 load(const float* from) { return _mm512_loadu_ps(from); }
static inline __m512 load(const uint16_t* from) {
    const __m256i halves = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(halves), 16));
}
static inline __m512 load(const int8_t* from) {
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from))));
}

template <typename T>
static inline float dot(const T* w, const float* x, int64_t n) {
    __m512 a = _mm512_setzero_ps(), b = a, c = a, d = a;
    int64_t i = 0;
    for (; i + 64 <= n; i += 64) {
        a = _mm512_fmadd_ps(load(w + i), load(x + i), a);
        b = _mm512_fmadd_ps(load(w + i + 16), load(x + i + 16), b);
        c = _mm512_fmadd_ps(load(w + i + 32), load(x + i + 32), c);
        d = _mm512_fmadd_ps(load(w + i + 48), load(x + i + 48), d);
    }
    for (; i + 16 <= n; i += 16) a = _mm512_fmadd_ps(load(w + i), load(x + i), a);
    float sum = _mm512_reduce_add_ps(_mm512_add_ps(_mm512_add_ps(a, b), _mm512_add_ps(c, d)));
    for (; i < n; i++) sum += value(w[i]) * x[i];
    return sum;
}
#else
template <typename T>
static inline float dot(const T* w, const float* x, int64_t n) {
    float sums[32] = {};
    int64_t i = 0;
    for (; i + 32 <= n; i += 32)
        for (int lane = 0; lane < 32; lane++) sums[lane] += value(w[i + lane]) * x[i + lane];
    float sum = 0;
    for (int lane = 0; lane < 32; lane++) sum += sums[lane];
    for (; i < n; i++) sum += value(w[i]) * x[i];
    return sum;
}
#endif

// y = W x, or y += W x.
template <typename T>
static void product(const void* matrix, const float* scale, const float* x, float* y, int64_t rows, int64_t columns,
                    bool add) {
    const T* weights = static_cast<const T*>(matrix);
#pragma omp for schedule(static)
    for (int64_t row = 0; row < rows; row++) {
        float sum = dot(weights + row * columns, x, columns);
        if (scale) sum *= scale[row];
        y[row] = add ? y[row] + sum : sum;
    }
}

static void normalize(const float* x, const float* gain, float* y, int64_t n, float epsilon) {
    float factor = 1 / std::sqrt(dot(x, x, n) / n + epsilon);
    for (int64_t i = 0; i < n; i++) y[i] = x[i] * factor * gain[i];
}

static void rotate(float* x, const float* cos, const float* sin, int64_t n) {
    for (int64_t i = 0; i < n / 2; i++) {
        float a = x[i], b = x[i + n / 2];
        x[i] = a * cos[i] - b * sin[i];
        x[i + n / 2] = b * cos[i] + a * sin[i];
    }
}

template <typename K>
static void attend(const Model& m, const Layer& layer, int64_t position) {
    const int64_t D = m.head_dim, group = m.heads / m.kv_heads;
    const float *cos = m.cos + position * (D / 2), *sin = m.sin + position * (D / 2);
#pragma omp for schedule(static)
    for (int64_t kv = 0; kv < m.kv_heads; kv++) {
        K* keys = static_cast<K*>(layer.keys) + kv * m.capacity * D;
        K* values = static_cast<K*>(layer.values) + kv * m.capacity * D;
        float* key = m.qkv + (m.heads + kv) * D;
        const float* fresh = m.qkv + (m.heads + m.kv_heads + kv) * D;
        if (layer.key_norm) normalize(key, layer.key_norm, key, D, m.epsilon);
        rotate(key, cos, sin, D);
        for (int64_t i = 0; i < D; i++) {
            store(keys + position * D + i, key[i]);
            store(values + position * D + i, fresh[i]);
        }
        for (int64_t head = kv * group; head < (kv + 1) * group; head++) {
            float *query = m.qkv + head * D, *y = m.attended + head * D, *scores = m.scores + head * m.capacity;
            if (layer.query_norm) normalize(query, layer.query_norm, query, D, m.epsilon);
            rotate(query, cos, sin, D);
            const float scale = 1 / std::sqrt(static_cast<float>(D));
            float largest = -INFINITY, total = 0;
            for (int64_t slot = 0; slot <= position; slot++) {
                scores[slot] = dot(keys + slot * D, query, D) * scale;
                largest = scores[slot] > largest ? scores[slot] : largest;
            }
            for (int64_t i = 0; i < D; i++) y[i] = 0;
            for (int64_t slot = 0; slot <= position; slot++) {
                const float weight = std::exp(scores[slot] - largest);
                const K* from = values + slot * D;
                total += weight;
                for (int64_t i = 0; i < D; i++) y[i] += weight * value(from[i]);
            }
            for (int64_t i = 0; i < D; i++) y[i] /= total;
        }
    }
}

template <typename T, typename K>
static void step(const Model& m, int64_t token, int64_t position) {
    const T* row = static_cast<const T*>(m.embedding) + token * m.width;
    const float scale = m.embedding_scale ? m.embedding_scale[token] : 1;
#pragma omp single
    for (int64_t i = 0; i < m.width; i++) m.x[i] = value(row[i]) * scale;
    const int64_t inner = m.heads * m.head_dim, joined = inner + 2 * m.kv_heads * m.head_dim;
    for (int64_t l = 0; l < m.layers; l++) {
        const Layer& layer = m.layer[l];
#pragma omp single
        normalize(m.x, layer.input_norm, m.normed, m.width, m.epsilon);
        product<T>(layer.qkv, layer.qkv_scale, m.normed, m.qkv, joined, m.width, false);
        attend<K>(m, layer, position);
        product<T>(layer.out, layer.out_scale, m.attended, m.x, m.width, inner, true);
#pragma omp single
        normalize(m.x, layer.post_norm, m.normed, m.width, m.epsilon);
        product<T>(layer.gate_up, layer.gate_up_scale, m.normed, m.hidden, 2 * m.ffn_width, m.width, false);
#pragma omp for schedule(static)
        for (int64_t i = 0; i < m.ffn_width; i++) {
            const float gate = m.hidden[i];
            m.hidden[i] = gate / (1 + std::exp(-gate)) * m.hidden[i + m.ffn_width];
        }
        product<T>(layer.down, layer.down_scale, m.hidden, m.x, m.width, m.ffn_width, true);
    }
#pragma omp single
    normalize(m.x, m.norm, m.normed, m.width, m.epsilon);
    product<T>(m.head, m.head_scale, m.normed, m.logits, m.vocab_size, m.width, false);
}

// Reads `token` at `position`, whose predecessors are in the cache; leaves the next token's logits in model->logits.
extern "C" void decode(const Model* model, int bytes_a_weight, int64_t token, int64_t position, int threads) {
#pragma omp parallel num_threads(threads)
    {
        if (bytes_a_weight == 4)
            step<float, float>(*model, token, position);
        else if (bytes_a_weight == 2)
            step<uint16_t, uint16_t>(*model, token, position);
        else
            step<int8_t, uint16_t>(*model, token, position);
    }
}
