#include "python_array.h"

// Runs with every NumPy from 1.25 on, whatever NumPy it is compiled with.
#define NPY_TARGET_VERSION NPY_1_25_API_VERSION
#define NPY_NO_DEPRECATED_API NPY_1_25_API_VERSION
#include <numpy/arrayobject.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
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

constexpr int most_tensor_types = 4;
PyTypeObject *tensor_types[most_tensor_types];
std::atomic<const DLPackExchangeAPI *> tensor_api{nullptr}; // set once the types are

Type integer_type(bool is_signed, std::int64_t bytes) {
    const int width = bytes == 1 ? 0 : bytes == 2 ? 1 : bytes == 4 ? 2 : 3;
    return Type(width + int(is_signed ? Type::i8 : Type::u8));
}

bool type_of(const PyArray_Descr *dtype, Type &type) {
    if (!PyArray_ISNBO(dtype->byteorder))
        return false;
    switch (dtype->type_num) {
    case NPY_FLOAT:
        type = Type::f32;
        return true;
    case NPY_DOUBLE:
        type = Type::f64;
        return true;
    case NPY_HALF:
        type = Type::f16;
        return true;
    case NPY_BYTE:
        type = integer_type(true, sizeof(npy_byte));
        return true;
    case NPY_SHORT:
        type = integer_type(true, sizeof(npy_short));
        return true;
    case NPY_INT:
        type = integer_type(true, sizeof(npy_int));
        return true;
    case NPY_LONG:
        type = integer_type(true, sizeof(npy_long));
        return true;
    case NPY_LONGLONG:
        type = integer_type(true, sizeof(npy_longlong));
        return true;
    case NPY_UBYTE:
        type = integer_type(false, sizeof(npy_ubyte));
        return true;
    case NPY_USHORT:
        type = integer_type(false, sizeof(npy_ushort));
        return true;
    case NPY_UINT:
        type = integer_type(false, sizeof(npy_uint));
        return true;
    case NPY_ULONG:
        type = integer_type(false, sizeof(npy_ulong));
        return true;
    case NPY_ULONGLONG:
        type = integer_type(false, sizeof(npy_ulonglong));
        return true;
    }
    return false;
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

bool PythonArray::read(PyObject *object, bool writable) {
    PyTypeObject *const of = Py_TYPE(object);
    if (of == &PyArray_Type)
        return read_numpy(object, writable) && is_aligned();
    if (tensor_api.load() && std::find(tensor_types, tensor_types + most_tensor_types, of) !=
                                 tensor_types + most_tensor_types)
        return read_tensor(object) && is_aligned();
    return false;
}

bool PythonArray::read_numpy(PyObject *object, bool writable) {
    auto *array = reinterpret_cast<PyArrayObject *>(object);
    if (writable && PyArray_FailUnlessWriteable(array, "array") != 0) {
        PyErr_Clear();
        return false;
    }
    ndim = PyArray_NDIM(array);
    if (ndim > most_axes || !type_of(PyArray_DESCR(array), type))
        return false;
    const std::int64_t itemsize = bytes_of(type);
    for (int i = 0; i < ndim; ++i) {
        shape[i] = PyArray_DIM(array, i);
        strides[i] = PyArray_STRIDE(array, i) / itemsize;
        if (strides[i] * itemsize != PyArray_STRIDE(array, i))
            return false;
    }
    data = PyArray_DATA(array);
    return true;
}

bool PythonArray::read_tensor(PyObject *object) {
    DLTensor tensor;
    if (tensor_api.load()->dltensor_from_py_object_no_sync(object, &tensor) != 0) {
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
    const PyTypeObject *const integers[] = {
        &PyByteArrType_Type,     &PyShortArrType_Type,    &PyIntArrType_Type,  &PyLongArrType_Type,
        &PyUByteArrType_Type,    &PyUShortArrType_Type,   &PyUIntArrType_Type, &PyULongArrType_Type,
        &PyLongLongArrType_Type, &PyULongLongArrType_Type};
    if (std::find(std::begin(integers), std::end(integers), Py_TYPE(object)) == std::end(integers))
        return false;
    value = PyNumber_AsSsize_t(object, PyExc_OverflowError);
    if (value == -1 && PyErr_Occurred()) {
        PyErr_Clear();
        return false;
    }
    return true;
}

PyObject *numpy_scalar(bool is_double, double number) {
    static PyArray_Descr *const float64 = PyArray_DescrFromType(NPY_DOUBLE);
    static PyArray_Descr *const float32 = PyArray_DescrFromType(NPY_FLOAT);
    float narrow = float(number);
    return is_double ? PyArray_Scalar(&number, float64, nullptr)
                     : PyArray_Scalar(&narrow, float32, nullptr);
}

PyObject *new_numpy(Type type, int ndim, const std::int64_t *shape, void *&data) {
    const int number = type == Type::i64 ? NPY_INT64 : type == Type::f64 ? NPY_DOUBLE : NPY_FLOAT;
    npy_intp sizes[most_axes];
    std::copy_n(shape, ndim, sizes);
    PyObject *const array = PyArray_SimpleNew(ndim, sizes, number);
    if (array)
        data = PyArray_DATA(reinterpret_cast<PyArrayObject *>(array));
    return array;
}

bool know_numpy() { return _import_array() == 0; }

bool know_tensors(PyObject *types, PyObject *capsule) {
    auto *api = static_cast<const DLPackExchangeAPI *>(
        PyCapsule_GetPointer(capsule, "dlpack_exchange_api"));
    while (api && api->major != 1)
        api = api->previous;
    PyErr_Clear();
    if (!api || !api->dltensor_from_py_object_no_sync || !PyTuple_Check(types) ||
        PyTuple_Size(types) > most_tensor_types)
        return false;
    for (Py_ssize_t i = 0; i < PyTuple_Size(types); ++i) {
        PyObject *const type = PyTuple_GetItem(types, i);
        tensor_types[i] = reinterpret_cast<PyTypeObject *>(Py_NewRef(type));
    }
    tensor_api = api;
    return true;
}

} // namespace softmaxloss
