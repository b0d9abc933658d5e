# Binds src_c/ops/dropout.c.
