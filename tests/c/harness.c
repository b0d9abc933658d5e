#include "harness.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "report.h"

/* ---- memory ---- */

enum { GUARD = 192, GUARD_BYTE = 0xA5, MOST_BLOCKS = 4096, ALIGNMENT = 64 };

typedef struct {
    unsigned char *memory, *begin;
    size_t bytes, whole;
} block;

static block blocks[MOST_BLOCKS];
static int n_blocks;

void *guarded(ptrdiff_t bytes, ptrdiff_t misplaced) {
    if (n_blocks == MOST_BLOCKS || bytes < 0 || bytes > (ptrdiff_t)1 << 32) {
        fprintf(stderr, "a case wants %td bytes as block %d\n", bytes, n_blocks);
        exit(2);
    }
    block b = {.bytes = (size_t)bytes, .whole = (size_t)(bytes + 2 * GUARD + 2 * ALIGNMENT)};
    b.memory = malloc(b.whole);
    if (b.memory == NULL) {
        fprintf(stderr, "there are no %td bytes\n", bytes);
        exit(2);
    }
    memset(b.memory, GUARD_BYTE, b.whole);
    b.begin = (unsigned char *)(((uintptr_t)b.memory + GUARD + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT) + misplaced;
    memset(b.begin, 0xFF, b.bytes);
    blocks[n_blocks++] = b;
    return b.begin;
}

void *workspace_of(ptrdiff_t bytes) {
    void *room = guarded(bytes, 0);
    if (between(0, 1)) {
        memset(room, 0x3F, (size_t)bytes);
    }
    return room;
}
double *doubles(ptrdiff_t n) { return guarded(n * (ptrdiff_t)sizeof(double), 0); }
ptrdiff_t *sizes(ptrdiff_t n) { return guarded(n * (ptrdiff_t)sizeof(ptrdiff_t), 0); }

static int is_whole(const block *b) {
    for (const unsigned char *p = b->memory; p < b->begin; p++) {
        if (*p != GUARD_BYTE) {
            return 0;
        }
    }
    for (const unsigned char *p = b->begin + b->bytes; p < b->memory + b->whole; p++) {
        if (*p != GUARD_BYTE) {
            return 0;
        }
    }
    return 1;
}

/* ---- random numbers: SplitMix64 (Steele, Lea and Flood, 2014) ---- */

static uint64_t state = 20240229;

uint64_t random_bits(void) {
    uint64_t z = state += 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

double uniform(double low, double high) { return low + (high - low) * (double)(random_bits() >> 11) * 0x1p-53; }

ptrdiff_t between(ptrdiff_t low, ptrdiff_t high) {
    return low + (ptrdiff_t)(random_bits() % (uint64_t)(high - low + 1));
}

int one_of_threads(void) {
    static const int counts[] = {1, 2, 3, 5};
    int n = counts[between(0, 3)];
    return mutated_slot < 0 ? n : 1;
}

/* ---- verdicts ---- */

int n_passed, n_failed, is_silent;
static char name[256];
static int case_failed;

enum { MOST_MESSAGES = 40 };
static int n_messages;

void case_begins(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(name, sizeof name, format, arguments);
    va_end(arguments);
    case_failed = 0;
}

void fail(const char *format, ...) {
    if (!case_failed && !is_silent && n_messages++ < MOST_MESSAGES) {
        va_list arguments;
        va_start(arguments, format);
        printf("FAILED: %s, %s: ", where, name);
        vprintf(format, arguments);
        printf("\n");
        va_end(arguments);
        fflush(stdout);
    }
    case_failed = 1;
}

void case_ends(void) {
    for (int i = 0; i < n_blocks; i++) {
        if (!is_whole(blocks + i)) {
            fail("block %d of %zu bytes was written beside", i, blocks[i].bytes);
        }
        free(blocks[i].memory);
    }
    n_blocks = 0;
    n_passed += !case_failed;
    n_failed += case_failed;
}

void compare_one(const char *what, ptrdiff_t i, double got, double wanted, double tolerance) {
    int right = isnan(wanted)   ? isnan(got)
                : isinf(wanted) ? got == wanted
                                : fabs(got - wanted) <= tolerance; /* false for a NaN */
    if (!right) {
        fail("%s[%td] is %.17g, wanted %.17g, tolerance %.3g", what, i, got, wanted, tolerance);
    }
}

/* ---- which operations were called ---- */

static struct {
    const char *name;
    int called;
} operations[] = {
#define X(name) {#name, 0},
#include "operations.inc"
#undef X
};
enum { N_OPERATIONS = sizeof operations / sizeof *operations };

void mark(const char *operation) {
    for (int i = 0; i < N_OPERATIONS; i++) {
        if (strcmp(operations[i].name, operation) == 0) {
            operations[i].called = 1;
        }
    }
}

int print_operations_that_were_not_called(void) {
    int missing = 0;
    for (int i = 0; i < N_OPERATIONS; i++) {
        if (!operations[i].called) {
            printf("NOT CALLED: %s\n", operations[i].name);
            missing++;
        }
    }
    return missing;
}
