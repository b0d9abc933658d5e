# Binds src_c/ops/im2col.c.
