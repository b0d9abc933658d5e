/* What this CPU can do, and its floating-point mode. */
#ifndef FNN_CORE_CPU_H
#define FNN_CORE_CPU_H

/* Flush denormal numbers to zero if `flush`; returns the mode to restore. Portable builds do nothing. */
unsigned fnn_fp_mode_enter(int flush);
void fnn_fp_mode_leave(unsigned mode);

#endif
