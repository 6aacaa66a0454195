"""What learners ask, in their own words, and the question that each of them means.

Written before the matching was, as such questions are asked on forums.
"""

PARAPHRASES = {
    "which-is-raised": [
        "how does the network know which output to raise",
        "if we only compute -log(a3), how does the net know that the third output should go up?",
        "How does gradient descent know which logit to increase?",
        "what tells the model which neuron is the correct one",
    ],
    "only-true-class": [
        "Is the loss only computed for the correct class?",
        "why do we ignore the other classes in the loss function",
        "do we only calculate -log a_y and throw away the rest?",
        "does cross entropy ignore the wrong predictions?",
    ],
    "others-learn": [
        "how do the wrong classes get updated when they are not in the loss",
        "if the loss has only the true class, what is the gradient for the other outputs",
        "how do incorrect classes learn anything",
    ],
    "derivative-by-a": [
        "do I need dJ/da for all the classes",
        "is the derivative of the loss with respect to the other activations zero?",
        "should I compute ∂J/∂a_n for every n or only for the true one",
    ],
    "always-positive": [
        "why is a_n always positive",
        "can a softmax probability be zero or negative?",
        "why are softmax outputs never negative",
    ],
    "gradient-sign": [
        "why is a_y - 1 negative",
        "why is the gradient of the correct class always negative",
    ],
    "derivatives-sum": [
        "do the gradients add up to 1?",
        "why does the sum of the gradients equal zero",
    ],
    "others-fall": [
        "will the other probabilities fall",
        "do all the wrong probabilities go down after a step?",
        "why did the probability of a wrong class go up after an update",
    ],
    "step-size": [
        "is the update too small to make a difference",
        "how much does one step reduce the loss",
    ],
    "weights-not-outputs": [
        "but we update the weights, not z, so what happens",
        "we can't change the logits directly, we only change weights, how do the logits move?",
        "how does this relate to the weight update",
    ],
    "reach-one": [
        "does a ever reach 1",
        "can the probability of the right class become exactly 1?",
        "will the loss ever be zero",
    ],
    "why-exp": [
        "why use exp in softmax",
        "why not just divide by the sum of the outputs?",
        "what is the point of the exponential in softmax",
    ],
    "exp-minus-z": [
        "why exp(z) and not exp(-z) like in the sigmoid",
        "sigmoid has e^-z, why does softmax have e^z",
        "where did the minus sign in the exponent go?",
    ],
    "order": [
        "can softmax change which class is predicted?",
        "do I need softmax for inference if I only want the argmax",
    ],
    "logits": [
        "what is a logit",
        "what does logits mean in pytorch",
        "are logits probabilities?",
    ],
    "softmax-or-sigmoid": [
        "should I use softmax or sigmoid in the last layer",
        "difference between sigmoid and softmax for multi-label classification",
    ],
    "two-classes": [
        "binary classification: two outputs with softmax or one sigmoid?",
        "is softmax with 2 classes the same as sigmoid",
        "should I use one output neuron or two for a binary problem",
    ],
    "temperature": [
        "my model is overconfident, what can I do",
        "what does temperature do in softmax",
        "how do I calibrate the probabilities",
    ],
    "jacobian": [
        "how do I compute the jacobian of softmax in numpy",
        "softmax derivative matrix code",
    ],
    "second-derivative": [
        "what is the hessian of cross entropy",
        "is the softmax loss convex",
        "second derivative of the loss with respect to logits",
    ],
    "why-log": [
        "why do we take the log",
        "is it log base 10 or natural log?",
        "why -log(p) rather than 1-p",
    ],
    "nat": [
        "what is a nat",
        "what unit is the loss in",
        "how do I convert the loss to bits",
    ],
    "range-of-loss": [
        "can the loss be greater than 1",
        "my loss is negative, is that possible?",
        "what is the maximum value of cross entropy",
    ],
    "good-loss": [
        "is 2.3 a good loss",
        "what loss value should I expect from random guessing",
        "how low should my cross entropy be",
    ],
    "squared-error": [
        "why not use mean squared error for classification",
        "why is cross entropy better than MSE",
    ],
    "mean-or-sum": [
        "should I average or sum the loss over the batch",
        "what is the difference between cost and loss",
        "what does reduction='mean' do",
    ],
    "entropy-and-kl": [
        "how is cross entropy related to KL divergence",
        "what's the difference between entropy and cross-entropy",
    ],
    "perplexity": [
        "how do I get perplexity from the loss",
        "what does a perplexity of 10 mean",
    ],
    "label-smoothing": [
        "why is my loss not going to zero with label smoothing",
        "what is the minimum loss with label_smoothing=0.1",
    ],
    "zero-or-one-based": [
        "do labels start at 0 or 1",
        "label 3 is index 2?",
    ],
    "index-or-one-hot": [
        "do I need to one hot encode the labels",
        "sparse categorical crossentropy vs categorical crossentropy",
    ],
    "several-labels": [
        "what if an image belongs to more than one class",
        "can an example have two labels",
    ],
    "label-out-of-range": [
        "IndexError: Target 4 is out of bounds",
        "CUDA error: device-side assert triggered",
        "what happens if the label is bigger than the number of classes",
    ],
    "ignore-index": [
        "how do I ignore padding tokens in the loss",
        "what is ignore_index -100",
    ],
    "class-weights": [
        "my classes are imbalanced, how do I weight them",
        "what does the weight argument of CrossEntropyLoss do",
    ],
    "loss-and-accuracy": [
        "validation loss goes up but accuracy also goes up",
        "why is accuracy improving while loss increases",
    ],
    "softmax-twice": [
        "should I put a softmax layer before CrossEntropyLoss",
        "loss stuck at 1.386",
        "what does from_logits=True mean",
        "my loss does not go below 0.74 even though the accuracy is high",
    ],
    "nan": [
        "why is my loss nan",
        "loss becomes nan after a few epochs",
        "RuntimeWarning: overflow encountered in exp",
    ],
    "same-as-frameworks": [
        "does pytorch give the same result",
        "how do I check this against tensorflow",
    ],
    "subtract-max": [
        "why subtract the max from the logits",
        "what is the log-sum-exp trick",
        "numerically stable softmax",
    ],
    "minus-infinity": [
        "what happens with a logit of -inf",
        "can I mask out classes with -inf",
    ],
}

# Nothing here is about this loss: no question may answer it.
OTHERS = [
    "how do I install the package",
    "what is the capital of France",
    "which optimizer is best, adam or sgd",
    "how many layers should my network have",
    "what does dropout do",
    "how to plot a confusion matrix",
    "hello",
    "why?",
    "the",
    "can I use it with jax",
    "what is a convolution",
    "how does attention work",
]
