/* The element type that this translation unit is compiled for; ops/ and kernels/ are compiled once per type. */
#ifndef FNN_CORE_REAL_H
#define FNN_CORE_REAL_H

#if defined(FNN_DTYPE_F32)
typedef float real;
#define FNN_TYPED(name) name##_f32
#elif defined(FNN_DTYPE_F64)
typedef double real;
#define FNN_TYPED(name) name##_f64
#else
#error "compile with -DFNN_DTYPE_F32 or -DFNN_DTYPE_F64"
#endif

#endif
