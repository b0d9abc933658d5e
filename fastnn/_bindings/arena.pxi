# Pieces of large blocks of memory, by first fit, joined again when they come back; see fastnn._memory.
#
# The books are plain C, and change in one C function under one lock: no bytecode runs in there, so that no signal's
# exception, no exception of another thread and no garbage collection can come in the middle, and a fork waits.
# Nothing is allocated when a piece returns, so that returning one cannot fail.
from libc.string cimport memmove

cdef extern from "Python.h":
    # Who calls it has the GIL; `nogil` in here says that no bytecode runs.
    void *PyMem_Realloc(void *memory, size_t n_bytes) noexcept nogil

cdef extern from "fnn.h" nogil:
    size_t fnn_page_size()
    char *fnn_map_pages(size_t size)
    int fnn_back_pages(char *pages, size_t size)
    int fnn_empty_pages(char *pages, size_t size)
    void fnn_unmap_pages(char *pages, size_t size)
    void fnn_lock()
    void fnn_unlock()
    int fnn_guard_forks()

cdef Py_ssize_t PAGE = <Py_ssize_t>fnn_page_size()  # 4 KB, 16 KB on Macs with Apple's CPUs, up to 64 KB on others

PAGE_SIZE = PAGE

# Below the largest Py_ssize_t by so much that no sum of two sizes in here overflows.
cdef Py_ssize_t MOST_BYTES = PY_SSIZE_T_MAX // 4

if fnn_guard_forks() != 0:
    raise MemoryError("fastnn cannot register what a fork needs")


cdef struct Segment:  # a block from the system
    Py_ssize_t number  # in the order of their making, never used again
    Py_ssize_t size
    Py_ssize_t backed  # so much of its beginning may be touched: see fnn_back_pages
    char *memory


cdef struct Hole:  # a free piece; no two of them touch
    Py_ssize_t number, begin, size
    Py_ssize_t untouched  # so much of its end was never used


cdef struct Piece:
    Py_ssize_t number, begin, size


cdef struct Books:
    Segment *segments  # by number
    Hole *holes        # by number and begin
    Py_ssize_t n_segments, n_holes
    Py_ssize_t segment_room, hole_room  # allocated
    Py_ssize_t next_number, n_pieces
    Py_ssize_t least_segment
    Py_ssize_t used, touched, most_used


cdef Segment *segment_of(Books *b, Py_ssize_t number) noexcept nogil:
    cdef Py_ssize_t i = 0
    while b.segments[i].number != number:
        i += 1
    return &b.segments[i]


cdef Py_ssize_t hole_after(Books *b, Py_ssize_t number, Py_ssize_t begin) noexcept nogil:
    """The index of the first hole that does not lie before this place."""
    cdef Py_ssize_t low = 0, high = b.n_holes, middle
    cdef Hole *h
    while low < high:
        middle = (low + high) // 2
        h = &b.holes[middle]
        if h.number < number or (h.number == number and h.begin < begin):
            low = middle + 1
        else:
            high = middle
    return low


cdef void insert_hole(Books *b, Py_ssize_t index, Hole hole) noexcept nogil:
    memmove(&b.holes[index + 1], &b.holes[index], (b.n_holes - index) * sizeof(Hole))
    b.holes[index] = hole
    b.n_holes += 1


cdef void remove_hole(Books *b, Py_ssize_t index) noexcept nogil:
    b.n_holes -= 1
    memmove(&b.holes[index], &b.holes[index + 1], (b.n_holes - index) * sizeof(Hole))


cdef bint make_room(Books *b) noexcept nogil:
    """Room for one more segment, one more piece, and the holes that can come of it: between any two pieces of a
    segment and at its ends. False: there is no memory, and nothing has changed.
    """
    cdef Py_ssize_t segments = b.n_segments + 1, holes = b.n_pieces + 1 + segments
    cdef void *grown
    if segments > b.segment_room:
        grown = PyMem_Realloc(b.segments, 2 * segments * sizeof(Segment))
        if grown is NULL:
            return False
        b.segments = <Segment *> grown
        b.segment_room = 2 * segments
    if holes > b.hole_room:
        grown = PyMem_Realloc(b.holes, 2 * holes * sizeof(Hole))
        if grown is NULL:
            return False
        b.holes = <Hole *> grown
        b.hole_room = 2 * holes
    return True


cdef void free_holes(Books *b) noexcept nogil:
    """Return what is not in use to the system."""
    cdef Py_ssize_t i = 0
    cdef Hole *h
    cdef Segment *s
    while i < b.n_holes:
        h = &b.holes[i]
        s = segment_of(b, h.number)
        b.touched -= h.size - h.untouched
        if h.size == s.size:
            fnn_unmap_pages(s.memory, s.size)
            b.n_segments -= 1
            memmove(s, s + 1, (b.n_segments - (s - b.segments)) * sizeof(Segment))
            remove_hole(b, i)
            continue
        if h.untouched < h.size:
            if not fnn_empty_pages(s.memory + h.begin, h.size):
                s.backed = min(s.backed, h.begin)
        h.untouched = h.size
        i += 1


cdef bint grow(Books *b, Py_ssize_t size) noexcept nogil:
    """Another segment, as large as all others together, so that there are few and large pieces fit; of this size if
    the system has no larger one. False: it has not even that.
    """
    cdef Py_ssize_t wanted = max(size, b.least_segment), others = 0
    cdef char *memory
    for i in range(b.n_segments):
        others += b.segments[i].size
    wanted = max(wanted, others)
    memory = fnn_map_pages(wanted)
    if memory is NULL:
        free_holes(b)
        wanted = size
        memory = fnn_map_pages(wanted)
        if memory is NULL:
            return False
    b.segments[b.n_segments] = Segment(b.next_number, wanted, 0, memory)
    insert_hole(b, b.n_holes, Hole(b.next_number, 0, wanted, wanted))
    b.n_segments += 1
    b.next_number += 1
    return True


cdef bint back(Segment *s, Py_ssize_t end) noexcept nogil:
    """Memory for the pages up to here. False: the system has no more."""
    if s.backed < end:
        if not fnn_back_pages(s.memory + s.backed, end - s.backed):
            return False
        s.backed = end
    return True


cdef char *take_piece(Books *b, Py_ssize_t n_bytes, Piece *piece) noexcept nogil:
    """The beginning of the first hole in which so many bytes fit; NULL if the system has no more. Then what was not in
    use has gone back to it, and a second attempt may succeed.
    """
    cdef Py_ssize_t size = (n_bytes + PAGE - 1) // PAGE * PAGE, i = 0
    cdef Hole *h
    cdef Segment *s
    if not make_room(b):
        return NULL
    while i < b.n_holes and b.holes[i].size < size:
        i += 1
    if i == b.n_holes:
        if not grow(b, size):
            return NULL
        i = b.n_holes - 1  # the new segment is the last hole
    h = &b.holes[i]
    s = segment_of(b, h.number)
    if not back(s, h.begin + size):
        free_holes(b)
        return NULL
    piece[0] = Piece(h.number, h.begin, size)
    b.touched += max(0, size - (h.size - h.untouched))
    if h.size == size:
        remove_hole(b, i)
    else:
        h.begin += size
        h.size -= size
        h.untouched = min(h.untouched, h.size)
    b.n_pieces += 1
    b.used += size
    b.most_used = max(b.most_used, b.used)
    return s.memory + piece.begin


cdef void give_piece_back(Books *b, Piece *piece) noexcept nogil:
    """Make a hole of the piece and of the holes on its two sides."""
    cdef Py_ssize_t i = hole_after(b, piece.number, piece.begin)
    cdef Hole hole = Hole(piece.number, piece.begin, piece.size, 0)
    cdef Hole *other
    b.n_pieces -= 1
    b.used -= piece.size
    if i < b.n_holes:
        other = &b.holes[i]
        if other.number == hole.number and hole.begin + hole.size == other.begin:
            hole.size += other.size
            hole.untouched = other.untouched
            remove_hole(b, i)
    if i > 0:
        other = &b.holes[i - 1]
        if other.number == hole.number and other.begin + other.size == hole.begin:
            b.touched += other.untouched  # no longer at an end: counted, though it may be free
            hole.begin = other.begin
            hole.size += other.size
            i -= 1
            remove_hole(b, i)
    insert_hole(b, i, hole)


@cython.no_gc
cdef class Arena:
    """Memory in pieces, each of them held by a `Lease`."""
    cdef Books books

    def __cinit__(self, Py_ssize_t least_segment):
        if not 0 < least_segment <= MOST_BYTES:
            raise ValueError(f"Arena: least_segment must be positive. Received: {least_segment}")
        self.books.least_segment = least_segment

    def __dealloc__(self):  # every lease holds the arena: there are no pieces
        for i in range(self.books.n_segments):
            fnn_unmap_pages(self.books.segments[i].memory, self.books.segments[i].size)
        PyMem_Free(self.books.segments)
        PyMem_Free(self.books.holes)

    def release(self):
        """Return what is not in use to the system, and count `most_used` anew."""
        fnn_lock()
        free_holes(&self.books)
        self.books.most_used = self.books.used
        fnn_unlock()

    def counts(self):
        """Bytes that are out, that the system may have given memory for, and that were out at most."""
        fnn_lock()
        cdef Py_ssize_t used = self.books.used, touched = self.books.touched, most_used = self.books.most_used
        fnn_unlock()
        return used, touched, most_used

    def segments(self):
        """For tests: the size of each segment by number. Not while other threads take pieces."""
        return {self.books.segments[i].number: self.books.segments[i].size for i in range(self.books.n_segments)}

    def holes(self):
        """For tests: (number of the segment, begin, size, untouched) of each hole in order. As `segments`."""
        return [(h.number, h.begin, h.size, h.untouched) for h in self.books.holes[:self.books.n_holes]]


@cython.no_gc
cdef class Lease:
    """A piece of `arena` of at least `n_bytes`, for `numpy.ndarray(shape, dtype, buffer=lease)`.

    It is taken while the lease is made and returns when the lease is gone, which such an array and every view of it
    hold: there is no moment at which a piece is out and nothing would return it.

    Raises:
        MemoryError: the system has no more.
    """
    cdef Arena arena
    cdef Piece place
    cdef unsigned char *begin
    cdef Py_ssize_t n_bytes
    cdef Py_ssize_t one

    def __cinit__(self, Arena arena not None, object n_bytes):
        self.n_bytes = clipped(n_bytes, NULL)
        if not 0 < self.n_bytes <= MOST_BYTES:
            raise MemoryError(f"a piece of memory of {n_bytes} bytes cannot be had")
        self.arena = arena
        self.one = 1
        fnn_lock()
        self.begin = <unsigned char *> take_piece(&arena.books, self.n_bytes, &self.place)
        if self.begin is NULL:
            self.begin = <unsigned char *> take_piece(&arena.books, self.n_bytes, &self.place)
        fnn_unlock()
        if self.begin is NULL:
            raise MemoryError(f"the system has no block of {n_bytes} bytes")

    @property
    def piece(self):
        """For tests: the number of its segment, offset and size in bytes."""
        return self.place.number, self.place.begin, self.place.size

    def __getbuffer__(self, Py_buffer *buffer, int flags):
        lend_bytes(self, buffer, self.begin, &self.n_bytes, &self.one)

    def __releasebuffer__(self, Py_buffer *buffer):
        pass

    def __dealloc__(self):
        if self.begin is not NULL:
            fnn_lock()
            give_piece_back(&self.arena.books, &self.place)
            fnn_unlock()
