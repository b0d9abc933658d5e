/* The caches that work is cut for: those of one core of most CPUs of the last ten years.
 *
 * They are constants, not what the system says: how much of the weights is added at a time decides the order of sums, and
 * a program is to give the same bits on every CPU of one instruction set. docs/history/optimisation_log.md has what other
 * sizes cost.
 */
#ifndef FNN_CORE_CACHES_H
#define FNN_CORE_CACHES_H

enum {
    FNN_L1_BYTES = 32 << 10,
    FNN_L1_WAYS = 8,
    FNN_L1_WAY_BYTES = FNN_L1_BYTES / FNN_L1_WAYS, /* between lines of one set */
    FNN_L2_BYTES = 1 << 20
};

#endif
