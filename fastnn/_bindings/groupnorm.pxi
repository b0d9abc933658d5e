# Binds src_c/ops/groupnorm.c.
