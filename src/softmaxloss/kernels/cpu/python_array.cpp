#include "python_array.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <iterator>

namespace softmaxloss {

namespace {

// The part that is used of DLPack's specification (dlpack.h, version 1.x).
struct DLDevice {
    std::int32_t type, id;
};
struct DLDataType {
    std::uint8_t code, bits;
    std::uint16_t lanes;
};
struct DLTensor {
    void *data;
    DLDevice device;
    std::int32_t ndim;
    DLDataType dtype;
    std::int64_t *shape, *strides; // in elements; no strides: C order
    std::uint64_t byte_offset;
};
struct DLPackExchangeAPI {
    std::uint32_t major, minor;
    DLPackExchangeAPI *previous;
    void *managed_tensor_allocator, *managed_tensor_from_py_object_no_sync,
        *managed_tensor_to_py_object_no_sync;
    // Fills a DLTensor that owns nothing; else returns −1 and sets a Python error.
    int (*dltensor_from_py_object_no_sync)(void *object, DLTensor *out);
    void *current_work_stream;
};
constexpr std::int32_t cpu_device = 1;
enum : std::uint8_t { dl_int = 0, dl_uint = 1, dl_float = 2, dl_bfloat = 4 };

PyTypeObject *numpy_array;
PyObject *numpy_float32, *numpy_float64;
constexpr char integer_codes[] = "bhilqBHILQ";
PyTypeObject *numpy_integers[sizeof(integer_codes) - 1];

constexpr int most_tensor_types = 4;
PyTypeObject *tensor_types[most_tensor_types];
const DLPackExchangeAPI *tensor_api;

Type integer_type(bool is_signed, std::int64_t bytes) {
    const int width = bytes == 1 ? 0 : bytes == 2 ? 1 : bytes == 4 ? 2 : 3;
    return Type(width + int(is_signed ? Type::i8 : Type::u8));
}

// The type of a format of the buffer protocol in native byte order, which is one character.
bool type_of(const char *format, std::int64_t itemsize, Type &type) {
    if (format[0] == 0 || format[1] != 0)
        return false;
    switch (format[0]) {
    case 'f':
        type = Type::f32;
        return true;
    case 'd':
        type = Type::f64;
        return true;
    case 'e':
        type = Type::f16;
        return true;
    }
    const char *code = std::strchr(integer_codes, format[0]);
    if (code)
        type = integer_type(code < integer_codes + 5, itemsize);
    return code != nullptr;
}

bool type_of(const DLDataType &dtype, Type &type) {
    if (dtype.lanes != 1)
        return false;
    const int bits = dtype.bits;
    switch (dtype.code) {
    case dl_int:
    case dl_uint:
        type = integer_type(dtype.code == dl_int, bits / 8);
        return bits == 8 || bits == 16 || bits == 32 || bits == 64;
    case dl_float:
        type = bits == 16 ? Type::f16 : bits == 32 ? Type::f32 : Type::f64;
        return bits == 16 || bits == 32 || bits == 64;
    case dl_bfloat:
        type = Type::bf16;
        return bits == 16;
    }
    return false;
}

} // namespace

PythonArray::~PythonArray() {
    if (held_)
        PyBuffer_Release(&buffer_);
}

bool PythonArray::read(PyObject *object, bool writable) {
    PyTypeObject *const of = Py_TYPE(object);
    if (of == numpy_array)
        return read_numpy(object, writable) && is_aligned();
    if (tensor_api && std::find(tensor_types, tensor_types + most_tensor_types, of) !=
                          tensor_types + most_tensor_types)
        return read_tensor(object) && is_aligned();
    return false;
}

bool PythonArray::read_numpy(PyObject *object, bool writable) {
    const int flags = PyBUF_STRIDES | PyBUF_FORMAT | (writable ? PyBUF_WRITABLE : 0);
    held_ = PyObject_GetBuffer(object, &buffer_, flags) == 0;
    if (!held_) {
        PyErr_Clear();
        return false;
    }
    const std::int64_t itemsize = buffer_.itemsize;
    if (buffer_.ndim > most_axes || !type_of(buffer_.format, itemsize, type))
        return false;
    ndim = buffer_.ndim;
    for (int i = 0; i < ndim; ++i) {
        shape[i] = buffer_.shape[i];
        strides[i] = buffer_.strides[i] / itemsize;
        if (strides[i] * itemsize != buffer_.strides[i])
            return false;
    }
    data = buffer_.buf;
    return true;
}

bool PythonArray::read_tensor(PyObject *object) {
    DLTensor tensor;
    if (tensor_api->dltensor_from_py_object_no_sync(object, &tensor) != 0) {
        PyErr_Clear();
        return false;
    }
    if (tensor.device.type != cpu_device || tensor.ndim > most_axes || !type_of(tensor.dtype, type))
        return false;
    ndim = tensor.ndim;
    std::copy_n(tensor.shape, ndim, shape);
    if (tensor.strides) {
        std::copy_n(tensor.strides, ndim, strides);
    } else {
        std::int64_t step = 1;
        for (int i = ndim - 1; i >= 0; step *= shape[i--])
            strides[i] = step;
    }
    data = static_cast<char *>(tensor.data) + tensor.byte_offset;
    return tensor.data || size() == 0;
}

bool PythonArray::is_aligned() const { return std::uintptr_t(data) % bytes_of(type) == 0; }

std::int64_t PythonArray::size() const {
    std::int64_t size = 1;
    for (int i = 0; i < ndim; ++i)
        size *= shape[i];
    return size;
}

bool PythonArray::is_contiguous() const {
    std::int64_t step = 1;
    for (int i = ndim - 1; i >= 0; step *= shape[i--])
        if (shape[i] > 1 && strides[i] != step)
            return false;
    return true;
}

bool PythonArray::overlaps(const PythonArray &other) const {
    const auto range = [](const PythonArray &array, const char *&begin, const char *&end) {
        const int bytes = bytes_of(array.type);
        begin = end = static_cast<const char *>(array.data);
        if (array.size() == 0)
            return;
        for (int i = 0; i < array.ndim; ++i) {
            const std::int64_t extent = (array.shape[i] - 1) * array.strides[i] * bytes;
            (extent < 0 ? begin : end) += extent;
        }
        end += bytes;
    };
    const char *begin, *end, *other_begin, *other_end;
    range(*this, begin, end);
    range(other, other_begin, other_end);
    return begin < other_end && other_begin < end;
}

bool PythonArray::overlaps_itself() const {
    if (is_contiguous())
        return false;
    std::int64_t end = 1;
    bool done[most_axes] = {};
    for (int round = 0; round < ndim; ++round) {
        int least = -1;
        for (int i = 0; i < ndim; ++i)
            if (!done[i] && (least < 0 || std::abs(strides[i]) < std::abs(strides[least])))
                least = i;
        done[least] = true;
        const std::int64_t step = std::abs(strides[least]);
        if (shape[least] <= 1)
            continue;
        if (step < end)
            return true;
        end += step * (shape[least] - 1);
    }
    return false;
}

bool read_integer(PyObject *object, std::int64_t &value) {
    if (PyLong_CheckExact(object)) {
        int overflow;
        value = PyLong_AsLongLongAndOverflow(object, &overflow);
        return overflow == 0;
    }
    if (std::find(std::begin(numpy_integers), std::end(numpy_integers), Py_TYPE(object)) ==
        std::end(numpy_integers))
        return false;
    value = PyNumber_AsSsize_t(object, PyExc_OverflowError);
    if (value == -1 && PyErr_Occurred()) {
        PyErr_Clear();
        return false;
    }
    return true;
}

PyObject *numpy_scalar(bool is_double, double number) {
    PyObject *const value = PyFloat_FromDouble(number);
    if (!value)
        return nullptr;
    PyObject *const scalar = PyObject_CallOneArg(is_double ? numpy_float64 : numpy_float32, value);
    Py_DECREF(value);
    return scalar;
}

void know_numpy() {
    PyObject *const numpy = PyImport_ImportModule("numpy");
    if (!numpy)
        return;
    numpy_array = reinterpret_cast<PyTypeObject *>(PyObject_GetAttrString(numpy, "ndarray"));
    numpy_float32 = PyObject_GetAttrString(numpy, "float32");
    numpy_float64 = PyObject_GetAttrString(numpy, "float64");
    for (int i = 0; integer_codes[i] && !PyErr_Occurred(); ++i) {
        const char code[] = {integer_codes[i], 0};
        PyObject *const dtype = PyObject_CallMethod(numpy, "dtype", "s", code);
        if (!dtype)
            break;
        numpy_integers[i] = reinterpret_cast<PyTypeObject *>(PyObject_GetAttrString(dtype, "type"));
        Py_DECREF(dtype);
    }
    Py_DECREF(numpy);
}

bool know_tensors(PyObject *types, PyObject *capsule) {
    auto *api = static_cast<const DLPackExchangeAPI *>(
        PyCapsule_GetPointer(capsule, "dlpack_exchange_api"));
    while (api && api->major != 1)
        api = api->previous;
    PyErr_Clear();
    if (!api || !api->dltensor_from_py_object_no_sync || !PyTuple_Check(types) ||
        PyTuple_GET_SIZE(types) > most_tensor_types)
        return false;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(types); ++i) {
        PyObject *const type = PyTuple_GET_ITEM(types, i);
        tensor_types[i] = reinterpret_cast<PyTypeObject *>(Py_NewRef(type));
    }
    tensor_api = api;
    return true;
}

} // namespace softmaxloss
