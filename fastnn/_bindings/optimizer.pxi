# Binds src_c/ops/optimizer.c.
