/* What this CPU can do, its floating-point mode, and the order of its stores. */
#ifndef FNN_CORE_CPU_H
#define FNN_CORE_CPU_H

/* Flush denormal numbers to zero if `flush`; returns the mode to restore. Portable builds do nothing. */
unsigned fnn_fp_mode_enter(int flush);
void fnn_fp_mode_leave(unsigned mode);

/* What this thread has written past the caches is seen by others before what it writes next. */
void fnn_store_fence(void);

#endif
