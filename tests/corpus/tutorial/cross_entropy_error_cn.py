# -*- coding: utf-8 -*-
# 第四章 损失函数
import numpy as np
import sys, os
sys.path.append(os.pardir)  # 为了导入父目录中的文件
from dataset.mnist import load_mnist


def cross_entropy_error(y, t):
    """y: 神经网络的输出（概率），t: 监督数据（one-hot 表示）"""
    delta = 1e-7
    if y.ndim == 1:
        y = y.reshape(1, -1)
        t = t.reshape(1, -1)
    return -np.sum(t * np.log(y + delta)) / y.shape[0]


def cross_entropy_error_all(y, t):
    # 忘记除以批大小
    delta = 1e-7
    return -np.sum(t * np.log(y + delta))


def cross_entropy_error_mean(y, t):
    # 对所有元素取平均：类别也被平均了
    delta = 1e-7
    return -np.mean(t * np.log(y + delta))


def softmax(a):
    c = np.max(a, axis=-1, keepdims=True)
    exp_a = np.exp(a - c)  # 防止溢出
    return exp_a / np.sum(exp_a, axis=-1, keepdims=True)
