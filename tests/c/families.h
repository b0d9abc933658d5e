/* X(name): every file of operations/, each with one function that runs its cases. */
#define FAMILIES(X)                                                                                                    \
    X(activation)                                                                                                      \
    X(pointwise)                                                                                                       \
    X(matrices)                                                                                                        \
    X(attention)                                                                                                       \
    X(conv2d)                                                                                                          \
    X(winograd)                                                                                                        \
    X(im2col)                                                                                                          \
    X(pooling)                                                                                                         \
    X(batchnorm)                                                                                                       \
    X(rownorms)                                                                                                        \
    X(cross_entropy)                                                                                                   \
    X(optimizer)                                                                                                       \
    X(augment)
