// Arrays of Python as plain data, read without a copy: NumPy's through its C API, which takes a
// tenth of the time of the buffer protocol, and tensors through the exchange API of DLPack.
#pragma once
#include <Python.h>

#include <cstdint>

namespace softmaxloss {

// Integers first, in the order of LabelType.
enum class Type { i8, i16, i32, i64, u8, u16, u32, u64, f32, f64, f16, bf16 };

constexpr bool is_integer(Type type) { return type <= Type::u64; }
constexpr bool is_float(Type type) { return !is_integer(type); }
constexpr int bytes_of(Type type) {
    constexpr int bytes[] = {1, 2, 4, 8, 1, 2, 4, 8, 4, 8, 2, 2};
    return bytes[int(type)];
}

constexpr int most_axes = 8;

// Shape, strides (in elements) and memory of one array, valid while its Python object is held.
class PythonArray {
  public:
    Type type;
    int ndim = 0;
    std::int64_t shape[most_axes], strides[most_axes];
    void *data = nullptr;

    // False, without a Python error, for what is no array here: another object, another dtype or
    // byte order, misaligned memory, another device, too many axes, or read-only memory to write.
    bool read(PyObject *object, bool writable = false);

    std::int64_t size() const;
    bool is_contiguous() const;
    // Whether two arrays may share memory, judged by their first and last bytes.
    bool overlaps(const PythonArray &other) const;
    // Whether two elements may share memory: whether the step of an axis is smaller than the extent
    // of the axes with smaller steps.
    bool overlaps_itself() const;

  private:
    bool read_numpy(PyObject *object, bool writable);
    bool read_tensor(PyObject *object);
    bool is_aligned() const;
};

// Whether an object is a Python int, or an integer scalar of NumPy's, that int64 holds.
bool read_integer(PyObject *object, std::int64_t &value);

// A number as np.float64, or as np.float32, in which it is exact.
PyObject *numpy_scalar(bool is_double, double number);

// A new array of NumPy's of int64, float32 or float64, with undefined content, in C order; null
// with a Python error.
PyObject *new_numpy(Type type, int ndim, const std::int64_t *shape, void *&data);

// Learns NumPy's types. Call it once, at import; false with a Python error where NumPy is missing
// or too old for this build.
bool know_numpy();

// From now on objects of exactly these types, a tuple, are read as tensors, through the struct in a
// capsule "dlpack_exchange_api". False if this version of it is not known.
bool know_tensors(PyObject *types, PyObject *capsule);

} // namespace softmaxloss
