/* What the tests of all operations share: memory with guards, random numbers, verdicts. */
#ifndef FNN_TESTS_HARNESS_H
#define FNN_TESTS_HARNESS_H

#include <stddef.h>
#include <stdint.h>

/* ---- memory: every block has guard bytes on both sides, and begins as 0xFF, which is a NaN in float and double ---- */

/* `misplaced` moves the beginning so many bytes away from a multiple of 64. */
void *guarded(ptrdiff_t bytes, ptrdiff_t misplaced);
/* A workspace: exactly so many bytes, aligned to 64. It begins as NaN or as small numbers: some operations look for NaN. */
void *workspace_of(ptrdiff_t bytes);
double *doubles(ptrdiff_t n);
ptrdiff_t *sizes(ptrdiff_t n);

/* ---- random numbers, the same in every run of one program ---- */

uint64_t random_bits(void);
double uniform(double low, double high);
ptrdiff_t between(ptrdiff_t low, ptrdiff_t high); /* both included */
int one_of_threads(void);                         /* 1, 2, 3 or 5 */

/* ---- verdicts ---- */

/* A case has a name for messages. case_ends checks the guards, frees all blocks, and counts the case. */
void case_begins(const char *format, ...) __attribute__((format(printf, 1, 2)));
void fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
void case_ends(void);
/* |got - wanted| <= tolerance; NaN and infinities only where they are wanted. */
void compare_one(const char *what, ptrdiff_t i, double got, double wanted, double tolerance);
/* How the operation `name` of fnn_ops.h is remembered as called. */
void mark(const char *name);

/* A slot of the table of kernels that is to do nothing, by its number in kernels/slots.h; -1 for none. */
extern int mutated_slot;

#endif
