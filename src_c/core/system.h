/* What differs between operating systems, for the other C files. What the binding needs of it stands in fnn.h. */
#ifndef FNN_CORE_SYSTEM_H
#define FNN_CORE_SYSTEM_H

/* The time since some moment, in seconds. It never goes back. */
double fnn_seconds(void);

#endif
