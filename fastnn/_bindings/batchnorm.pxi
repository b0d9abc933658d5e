# Binds src_c/ops/batchnorm.c.
